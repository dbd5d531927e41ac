"""The web page and the HTTP API, which run chains on photos that visitors send."""
