# Has a child that it never reaps: when that ends, it becomes a zombie.
exec 9>"$WITNESS"
sleep 1000 &
echo "alive $$ parent-of-$!" >&9
# A shell might still reap it.
exec sleep 1000
