# The leader does nothing when it is asked to end, and its child tidies up.
exec 9>"$WITNESS"
trap : TERM
sh "${0%/*}/finishes-on-term.sh" &
echo "alive $$ leader" >&9
while :; do wait; done
