# The leader catches SIGTERM and does nothing; its child cleans up.
exec 9>"$WITNESS"
trap : TERM
sh "${0%/*}/finishes-on-term.sh" &
echo "alive $$ leader" >&9
while :; do wait; done
