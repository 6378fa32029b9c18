#!/usr/bin/env bash
# Every flag and exit status of every command's --help is in its man page, and the other way round; so is every mount
# option the help names. The pages are well-formed, where mandoc is there to say so.
# usage: help_matches_man.sh SBOXFS MAN_DIRECTORY
set -euo pipefail
sboxfs=$1
pages=$2
bad=0

complain() {
  echo "$1" >&2
  bad=1
}

# Flags and statuses, one a line. Of a help: its two lists. Of a page: the tags of the same two sections.
help_words() {
  "$sboxfs" "$@" --help | sed -n '/^Options:/,/^EXIT STATUS/p' | grep -oE '^  (-[a-z] \[ )?--[a-z-]+' | grep -oE -- '--?[a-z-]+'
  "$sboxfs" "$@" --help | sed -n '/^EXIT STATUS/,$p' | sed -nE 's/^  ([0-9]+) .*/\1/p'
}
page_words() {
  awk '/^\.SH /{section = $0} /^\.TP/{tag = 1; next} tag && section ~ /^\.SH (OPTIONS|EXIT STATUS)$/ {print} {tag = 0}' "$1" |
    sed -e 's/\\f[BRI]//g' -e 's/\\-/-/g' | grep -oE '(^|[ ,])(--?[a-z][a-z-]*|[0-9]+)' | tr -d ' ,'
}

commands=$("$sboxfs" --help | sed -n '/^Commands:/,/^$/p' | sed -nE 's/^  ([a-z]+) .*/\1/p')
[ "$(echo "$commands" | wc -l)" -ge 14 ] || complain "the overview names too few commands: $commands"
for command in $commands; do
  page=$pages/sboxfs-$command.1
  if [ ! -f "$page" ]; then
    complain "$page is missing"
    continue
  fi
  differences=$(diff <(help_words "$command" | sort -u) <(page_words "$page" | sort -u) || true)
  [ -z "$differences" ] || complain "$page and 'sboxfs $command --help' differ (<: only in the help):
$differences"
  [ "$(help_words "$command" | wc -l)" -ge 4 ] || complain "'sboxfs $command --help' lists too little to compare"
  grep -q "^\\.BR sboxfs\\\\-$command (1)" "$pages/sboxfs.1" || complain "sboxfs.1 does not name $command"
  for section in ENVIRONMENT FILES "EXIT STATUS"; do
    grep -q "^\\.SH $section$" "$page" || complain "$page has no section $section"
  done
done
mount_words=$("$sboxfs" mount --help | tr '\n' ' ' | sed -nE 's/.*Options after -o: ([^;]*);.*/\1/p' | sed -E 's/\([^)]*\)//g' | tr ',' '\n' |
  grep -oE '[a-z_]+' || true)
[ "$(wc -w <<<"$mount_words")" -ge 10 ] || complain "'sboxfs mount --help' names too few mount options: $mount_words"
for word in $mount_words; do
  sed -n '/^\.SH MOUNT OPTIONS/,/^\.SH NOTES/p' "$pages/sboxfs-mount.1" | grep -E '^\.(B|BR|BI) ' | grep -qw -- "$word" ||
    complain "sboxfs-mount.1 does not explain the mount option $word"
done
for word in $("$sboxfs" --help | sed -n '/^EXIT STATUS/,$p' | sed -nE 's/^  ([0-9]+) .*/\1/p'); do
  grep -q "^\\.B $word$" "$pages/sboxfs.1" || complain "sboxfs.1 does not explain status $word"
done
if command -v mandoc >/dev/null; then
  mandoc -T lint -W warning "$pages"/*.1 >&2 || complain "mandoc finds fault with a page"
else
  echo "mandoc is not installed: the form of the pages was not checked"
fi
exit "$bad"
