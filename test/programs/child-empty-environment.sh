# Has a child with an empty environment.
exec 9>"$WITNESS"
env -i "$(command -v sleep)" 1000 &
echo "alive $! no-environment" >&9
echo "alive $$ leader" >&9
exec sleep 1000
