"""Where hosts are kept elsewhere, such as the company's CMDB: asked over HTTP on demand and by interval."""
