#!/bin/sh
# Installs what the tests need beside Python, where that is possible; a test that misses something says so itself.
set -u
PATH="$PATH:/usr/sbin:/sbin"

missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium fonts-dejavu-core fonts-noto-cjk"
command -v node >/dev/null 2>&1 || missing="$missing nodejs"
command -v promtool >/dev/null 2>&1 || missing="$missing prometheus"
command -v redis-server >/dev/null 2>&1 || missing="$missing redis-server"
command -v go >/dev/null 2>&1 || missing="$missing golang-go"
command -v npm >/dev/null 2>&1 || missing="$missing npm"
command -v nginx >/dev/null 2>&1 || missing="$missing nginx"
command -v haproxy >/dev/null 2>&1 || missing="$missing haproxy"
command -v apache2 >/dev/null 2>&1 || missing="$missing apache2-bin"
command -v caddy >/dev/null 2>&1 || missing="$missing caddy"

[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || exit 0

echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null || \
  echo "could not install$missing; the tests that need them will say so"
