# Starts a daemon that leaves its session and has a blank mark. The command itself stays.
exec 9>"$WITNESS"
sh "${0%/*}/leave-session.sh" env SUBPROCESS_GUARD_MARK= setsid sh -c 'echo "alive $$ daemon" >&9; exec sleep 1000'
echo "alive $$ leader" >&9
exec sleep 1000
