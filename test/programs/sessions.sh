# Starts so many processes, each in its own session: as a chain, or side by side if the second argument is
# `wide`. They are forks of one Perl program: to start ten thousand programs takes half a minute.
export SESSIONS='
  use POSIX "setsid";
  my ($count, $shape, $number) = @ARGV;
  open my $witness, ">>", $ENV{WITNESS} or die;
  syswrite $witness, "alive $$ session-$number\n";
  while (++$number <= $count) {
    my $pid = fork // die;
    next if $pid && $shape eq "wide";
    last if $pid;
    setsid;
    # The kernel keeps a list of forking ancestors until a process execs: without exec, the cost is quadratic.
    exec "perl", "-e", $ENV{SESSIONS}, $count, $shape, $number if $shape eq "chain" && $number % 50 == 0;
    syswrite $witness, "alive $$ session-$number\n";
    last if $shape eq "wide";
  }
  sleep;
'
exec perl -e "$SESSIONS" "$1" "$2" 1
