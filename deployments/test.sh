#!/bin/sh
# Tests everything: installs what is missing, runs every step even if an
# earlier one failed, and ends with one line per step. Takes no input.
#
#   deployments/test.sh            all steps
#   deployments/test.sh unit e2e   only these (see "steps" below)
#
# As root on Debian or Ubuntu it installs the packages that it needs; elsewhere
# it names them, runs what it can and fails. Go must be there already.
set -u
cd "$(dirname "$0")/.." || exit 1

steps="format vet lint generate unit contract e2e compat"
golangci_lint=v2.15.0

export CI="${CI:-true}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

say() { printf '\n==> %s\n' "$*"; }

# quietly runs a command and shows its output only when it fails.
quietly() {
	"$@" >"$scratch/log" 2>&1 </dev/null && return
	tail -n 40 "$scratch/log"
	return 1
}

# --- what is needed -----------------------------------------------------------

missing=""
updated=""

# need_package installs Debian package $2 unless command $1 exists.
need_package() {
	command -v "$1" >/dev/null 2>&1 && return
	case $missing in *"
  $1 "*) return ;; esac
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
		say "Installing the package $2"
		if [ -z "$updated" ]; then
			updated=yes
			quietly apt-get update
		fi
		DEBIAN_FRONTEND=noninteractive quietly apt-get install -y --no-install-recommends "$2"
	fi
	command -v "$1" >/dev/null 2>&1 || missing="$missing
  $1 (Debian package $2; not root or no apt-get, or the installation above failed)"
}

need_linter() {
	linter="$(go env GOPATH)/bin/golangci-lint"
	"$linter" version 2>/dev/null | grep -qF "${golangci_lint#v}" && return
	say "Installing golangci-lint $golangci_lint (about two minutes)"
	quietly go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$golangci_lint" || missing="$missing
  golangci-lint $golangci_lint (its build failed, see above)"
}

need_npm_packages() {
	command -v npm >/dev/null 2>&1 || return # already reported
	say "Installing the npm packages of tests/compat"
	(cd tests/compat && quietly npm ci --no-audit --no-fund) || missing="$missing
  the npm packages of tests/compat (npm ci failed, see above)"
}

# --- the steps ------------------------------------------------------------------

step_format() {
	unformatted=$(gofmt -l $(git ls-files '*.go')) || return 1
	[ -z "$unformatted" ] && return
	printf 'Not formatted (gofmt -w repairs it):\n%s\n' "$unformatted"
	return 1
}

step_vet() { go vet ./...; }

step_lint() { "$linter" run ./...; }

# Generated files must be what their generators make of the present sources.
step_generate() {
	git ls-files '*.gen.go' | xargs sha256sum >"$scratch/before" || return 1
	go generate ./... || return 1
	sha256sum --check --quiet "$scratch/before" && return
	echo "Generated files are stale: commit what 'go generate ./...' makes."
	return 1
}

step_unit() { go test -race $(go list ./... | grep -v -e /tests/contract -e /tests/e2e); }

step_contract() { go test -race -count=1 ./tests/contract/...; }

step_e2e() { go test -race -count=1 -timeout 20m ./tests/e2e/...; }

step_compat() { (cd tests/compat && npm test); }

# --- the run ----------------------------------------------------------------------

command -v go >/dev/null 2>&1 || {
	echo "Go is not installed: see https://go.dev/dl (version 1.26 or newer)."
	exit 1
}
wanted="${*:-$steps}"
for step in $wanted; do
	case " $steps " in
	*" $step "*) ;;
	*)
		echo "There is no step \"$step\"; there are: $steps"
		exit 2
		;;
	esac
	case $step in
	lint) need_linter ;;
	unit | e2e) need_package redis-server redis-server ;;
	compat)
		need_package redis-server redis-server
		need_package chromium chromium
		need_package npm npm
		need_npm_packages
		;;
	esac
done

failed=""
summary=""
for step in $wanted; do
	say "$step"
	began=$(date +%s)
	if "step_$step" </dev/null; then result=passed; else
		result=FAILED
		failed="$failed $step"
	fi
	summary="$summary$(printf '%-10s %s after %d s' "$step" "$result" $(($(date +%s) - began)))
"
done

say "Summary"
printf '%s' "$summary"
[ -n "$missing" ] && printf 'Could not be installed:%s\n' "$missing"
if [ -n "$failed$missing" ]; then
	echo "Not everything passed."
	exit 1
fi
echo "Everything passed."
