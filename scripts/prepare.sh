# Installs the packages and builds, both only when something has changed. Sourced from the project's root.

if ! command -v node >/dev/null || ! node -e '
  const [major, minor] = process.versions.node.split(".").map(Number);
  process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'; then
  echo "ipcfs: Node.js 20.19 or newer is needed: install it from https://nodejs.org" >&2
  exit 1
fi
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "ipcfs: installing packages"
  npm ci --no-fund --no-audit --loglevel=error
fi
echo "ipcfs: building; the first time takes up to a minute"
npm run --silent build
