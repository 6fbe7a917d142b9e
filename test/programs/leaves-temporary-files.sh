# Has temporary files, and a background child with more of them, and waits.
exec 9>"$WITNESS"
mkdir -p "$TMPDIR/profile/cache" "$TMPDIR/closed"
echo content >"$TMPDIR/profile/cache/file"
ln -s / "$TMPDIR/profile/link"
chmod 000 "$TMPDIR/closed"
echo "tmp $TMPDIR $TMP $TEMP" >&9
sh -c 'echo more >"$TMPDIR/more"; echo "alive $$ child" >&9; exec sleep 1000' &
echo "alive $$ leaves" >&9
exec sleep 1000
