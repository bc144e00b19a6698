"""Who may do what: HTTP authentication, NTLM, SPNEGO, TLS."""
