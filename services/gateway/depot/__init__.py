"""The depot's bytes: a folder of the management host in which each content lies once, named by its sha256.

`place` is the folder; `uploads` brings content in over HTTP and `registering` from listed roots; `staging` says what of
it is kept and recorded, `settling` does both as one; `contents` reads; `archives` looks into tar and zip files, in the
child process that `looking` calls. Names and versions are the config service's.
"""
