"""Load generation for Outlook Anywhere (RPC over HTTP) that opens every connection Outlook opens."""
