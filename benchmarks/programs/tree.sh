# A tree of three levels: as many children as the first argument says, and each of them has as many as the second one says.
# Every process says its number into the pipe that HELD_PIPE names, and holds that until it dies.
exec 9>"$HELD_PIPE"
say_number() {
  read -r pid _ </proc/self/stat
  echo "$pid" >&9
}
say_number
i=0
while [ $i -lt "$1" ]; do
  (
    say_number
    j=0
    while [ $j -lt "$2" ]; do
      (
        say_number
        exec sleep 300
      ) &
      j=$((j + 1))
    done
    wait
  ) &
  i=$((i + 1))
done
wait
