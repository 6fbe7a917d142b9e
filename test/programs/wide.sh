# Starts as many processes as the first argument says, side by side.
exec 9>"$WITNESS"
echo "alive $$ leader" >&9
i=0
while [ $i -lt "$1" ]; do
  sleep 1000 &
  echo "alive $! wide-$i" >&9
  i=$((i + 1))
done
exec sleep 1000
