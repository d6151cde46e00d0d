"""The depot's files: names, versions, tags. The bytes lie in the depot's folder, which the gateway keeps."""
