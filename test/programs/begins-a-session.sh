# Starts a session as its last act, so that the shell becomes setsid(1).
exec setsid sh -c 'exit 3'
