# `leave-session.sh COMMAND…` starts COMMAND in the background and exits once COMMAND has a session of its own. `setsid -f` exits earlier:
# a keeper that looks at that moment still finds the daemon in the session of its scope, and knows whose it is.
"$@" &
until read -r _ _ _ _ _ session _ <"/proc/$!/stat" && [ "$session" = "$!" ]; do
  [ -d "/proc/$!" ] || exit 1
done
