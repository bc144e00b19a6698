"""DCE/RPC on the server side: associations, dispatch by (interface, opnum), and the interfaces themselves."""
