#!/usr/bin/env bash
# Fails when a source file includes what its folder must not know: include_graph.txt has the edges.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

grep -rEo --include='*.h' --include='*.cpp' '^ *#include +["<](linnet|core|kernels|modules|bridge|report)/[^">]+' \
  core kernels modules bridge report |
  awk -v rules=tests/build/include_graph.txt '
    # The names under which an edge can be forbidden for a file.
    function rooms(path,    name, list) {
      list = ";"
      if (match(path, /^[a-z]+\/include\/linnet\//)) {
        name = substr(path, 1, index(path, "/") - 1)
        path = substr(path, RLENGTH + 1)
        sub(/\.h$/, "", path)
        list = list name ";" name "/public;"
      } else {
        name = substr(path, 1, index(path, "/") - 1)
        path = substr(path, length(name) + 2)
        list = list name ";" name "/private;"
      }
      sub(/\/.*/, "", path)
      return list name "/" path ";"
    }
    function resolve(header,    c, path) {
      if (header !~ /^linnet\//) return header
      for (c = 1; c <= 5; ++c) {
        path = components[c] "/include/" header
        if (system("test -e " path) == 0) return path
      }
      print "include_graph: no public header " header
      failed = 1
      return "unknown/unknown"
    }
    BEGIN {
      split("core kernels modules bridge report", components, " ")
      while ((getline line < rules) > 0) {
        if (line ~ /^ *(#|$)/) continue
        split(line, f, / +/)
        from[++count] = f[1]; to[count] = f[2]
        sub(/^[^ ]+ +[^ ]+ +/, "", line)
        why[count] = line
      }
    }
    {
      file = $0; sub(/:.*/, "", file)
      header = $0; sub(/^[^"<]*["<]/, "", header)
      if (!(header in known)) known[header] = rooms(resolve(header))
      if (!(file in source)) source[file] = rooms(file)
      ++edges
      for (r = 1; r <= count; ++r)
        if (index(source[file], ";" from[r] ";") && index(known[header], ";" to[r] ";")) {
          printf "%s includes %s: %s must not know %s (%s)\n", file, header, from[r], to[r], why[r]
          failed = 1
        }
    }
    END {
      printf "%d includes against %d rules\n", edges, count
      if (edges < 500) { print "too few includes were found"; failed = 1 }
      exit failed
    }'
