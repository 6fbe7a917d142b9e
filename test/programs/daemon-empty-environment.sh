# Starts a daemon that leaves its session and has an empty environment. The command itself stays.
exec 9>"$WITNESS"
sh "${0%/*}/leave-session.sh" env -i "$(command -v setsid)" "$(command -v sh)" -c \
  'echo "alive $$ daemon" >&9; exec "$0" 1000' "$(command -v sleep)"
echo "alive $$ leader" >&9
exec sleep 1000
