# Forks twice, leaves its session and empties its environment. The command itself stays.
exec 9>"$WITNESS"
env -i "$(command -v setsid)" -f "$(command -v sh)" -c 'echo "alive $$ daemon" >&9; exec "$0" 1000' "$(command -v sleep)"
echo "alive $$ leader" >&9
exec sleep 1000
