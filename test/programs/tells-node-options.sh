# Reports its NODE_OPTIONS, and waits.
exec 9>"$WITNESS"
echo "options $NODE_OPTIONS" >&9
echo "alive $$ tells-node-options" >&9
exec sleep 1000
