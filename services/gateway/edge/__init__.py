"""Where HTTP ends: strict reading of requests, origins, limits, and errors as problem documents."""
