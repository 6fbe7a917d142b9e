# Starts so many processes in its own process group, as `wide.sh` does, and
# then a tenth as many in their own sessions.
exec 9>"$WITNESS"
line="$WITNESS-line-$$"
mkfifo "$line"
exec 8<>"$line"
rm "$line"
echo "alive $$ leader" >&9
i=0
while [ $i -lt "$1" ]; do
  read -r _ <&8 &
  echo "alive $! wide-$i" >&9
  i=$((i + 1))
done
while [ $i -gt 0 ]; do
  setsid sleep 1000 &
  echo "alive $! session-$i" >&9
  i=$((i - 10))
done
exec sleep 1000
