# Has a child that has ended and that it never waits for.
exec 9>"$WITNESS"
(exit 0) &
echo "alive $$ parent-of-$!" >&9
exec sleep 1000
