# Counts the primes from 300,000 to 90,000,000 in a pipeline of three processes, if there is no python3.
# Each stage has its own sieve, and passes the numbers that none of its primes divides. Each stage prints
# `computing <pid>` once it has begun; the last line is the result, some minutes later.

# The standard output of a stage is the input of the next one. Descriptor 3 is that of the whole pipeline.
exec 3>&1

stage='
BEGIN {
  limit = 300000
  # Splitting a text is the fast way to create an array of that length.
  zeros = "0 "
  while (length(zeros) < 2 * limit) zeros = zeros zeros
  split(zeros, composite, " ")
  if (from == 2) primes[++count] = 2
  for (n = 3; n <= limit; n += 2) {
    if (composite[n]) continue
    if (n >= from && n < to) primes[++count] = n
    for (m = n * n; m <= limit; m += 2 * n) composite[m] = 1
  }
  system("echo computing $PPID >&3")
  if (role == "first") {
    for (n = limit + 1; n < 300 * limit; n += 2) if (passes(n)) print n
    exit
  }
}
passes($1) { if (role == "last") found++; else print }
END { if (role == "last") print found }

function passes(n,  i) {
  for (i = 1; i <= count && primes[i] * primes[i] <= n; i++) if (n % primes[i] == 0) return 0
  return 1
}'

awk -v role=first -v from=2 -v to=100 "$stage" |
  awk -v role=middle -v from=100 -v to=2000 "$stage" |
  awk -v role=last -v from=2000 -v to=300000 "$stage"
