# `leave-session.sh COMMAND…` starts COMMAND in the background and exits when COMMAND has its own
# session. `setsid -f` exits earlier: a keeper that scans at that moment still finds the daemon in the
# session of its scope, and knows whose it is.
"$@" &
until read -r _ _ _ _ _ session _ <"/proc/$!/stat" && [ "$session" = "$!" ]; do
  [ -d "/proc/$!" ] || exit 1
done
