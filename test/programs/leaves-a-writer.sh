# Answers, exits with 0, and leaves a child that writes to its output all the time.
exec 9>"$WITNESS"
echo "alive $$ $1" >&9
echo output
(while echo more; do sleep 0.1; done) &
