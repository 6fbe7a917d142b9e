# Starts so many processes side by side. They are forks of this shell: to start a thousand programs takes a
# second. Each waits for a line that never comes.
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
exec sleep 1000
