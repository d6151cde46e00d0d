"""Sessions of browsers: from a login with name and password to logout, or to half an hour without a request."""
