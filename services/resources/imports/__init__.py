"""Hosts from elsewhere: uploaded text, pages that a source gives. Read, compared with what is known, applied."""
