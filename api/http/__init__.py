"""HTTP itself: a bounded server, and the edge where WSGI ends. Knows no call and no flow."""
