# A tree of shells: a command, its child, and a daemon that has left session and parent. `tree.sh OUTPUT INPUT`: each says that it has begun,
# waits for a line, and says that it is alive.
exec 3>"$1"
wait='echo begun >&3; read line; echo alive >&3'
sh -c "$wait" <"$2" &
(setsid sh -c "$wait" <"$2" &)
eval "$wait" <"$2"
