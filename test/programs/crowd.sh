# Starts so many hundreds of processes. They sleep until the standard input of the first
# one ends. Its output ends when all sleep.
exec 3<&0
hundred() {
  for ten in 0 1 2 3 4 5 6 7 8 9; do
    for one in 0 1 2 3 4 5 6 7 8 9; do (exec >&- <&3; read -r _) & done
  done
}
i=0
while [ "$i" -lt "$1" ]; do
  (hundred; exec >&- <&3; read -r _) &
  i=$((i + 1))
done
exec >&-
read -r _
