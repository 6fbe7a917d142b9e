# A tree with three levels: $1 children, each with $2 children of its own.
# Every process writes its pid into the pipe HELD_PIPE, and holds that open until it dies.
exec 9>"$HELD_PIPE"
write_pid() {
  read -r pid _ </proc/self/stat
  echo "$pid" >&9
}
write_pid
i=0
while [ $i -lt "$1" ]; do
  (
    write_pid
    j=0
    while [ $j -lt "$2" ]; do
      (
        write_pid
        exec sleep 300
      ) &
      j=$((j + 1))
    done
    wait
  ) &
  i=$((i + 1))
done
wait
