"""The event socket as FreeSWITCH writes it: commands read, replies and events made. Pure; no sockets."""
