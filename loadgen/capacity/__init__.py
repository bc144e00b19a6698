"""How many users there can be: what limits allow by arithmetic, and how to find out by trying."""
