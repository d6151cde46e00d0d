"""From the hosts into MongoDB: reports and output, stored once, answered `stored`, and told.

`documents` reads messages and makes documents, purely; `store` keeps outcomes; `ingest` is the way from the stream;
`stored` answers hosts; `announcing` tells everybody; `settling` counts closed runs anew; `service` lists.
"""
