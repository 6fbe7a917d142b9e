# Has a child that it never waits for: whoever ends that child makes it a zombie.
exec 9>"$WITNESS"
sleep 1000 &
echo "alive $$ parent-of-$!" >&9
# A shell might still wait for it.
exec sleep 1000
