#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check_output.sh PROGRAM - run one of the programs of this folder: it prints these lines, in this order and no
# others (or keeps to rules), ends well, and takes at least so long. How long it takes at most is no concern of a
# loaded machine. What it writes into files is looked at, too.
set -u -o pipefail
program=${1:?usage: check_output.sh PROGRAM}

# least milliseconds, then the lines
expected() {
	case $1 in
	asyncio_run) printf '%s\n' 1000 '¡Hola desde asyncio.run!' '¡Adiós desde asyncio.run!' ;;
	asyncio_run_until_complete)
		printf '%s\n' 1000 '¡Hola desde el bucle de eventos manual!' '¡Adiós desde el bucle de eventos manual!'
		;;
	asyncio_run_forever)
		printf '%s\n' 1000 '¡Hola desde el bucle de eventos existente!' \
			'¡Adiós desde el bucle de eventos existente!'
		;;
	asyncio_coroutine) printf '%s\n' 1000 Hola Mundo ;;
	asyncio_create_task)
		printf '%s\n' 2000 'Tareas creadas' 'Tarea 1 completada' 'Tarea 2 completada' 'Todas las tareas completadas'
		;;
	asyncio_gather | asyncio_gather_results)
		printf '%s\n' 2000 'Tarea 1 completada' 'Tarea 2 completada' 'Todas las tareas completadas'
		;;
	asyncio_future) printf '%s\n' 1000 'Resultado del Future' ;;
	asyncio_done_callback) printf '%s\n' 1000 'Callback: Resultado del Future con Callback' ;;
	asyncio_async_with)
		printf '%s\n' 3000 'Contexto asíncrono: Entrada' 'Contexto asíncrono: Realizando acción' \
			'Contexto asíncrono: Salida'
		;;
	asyncio_with_file) printf '%s\n' 0 'Escribió en output.txt' ;;
	asyncio_files) printf '%s\n' 0 'rules: files_rules' ;;
	asyncio_main) printf '%s\n' 0 'Ejecutando la corrutina principal' ;;
	asyncio_blocking) printf '%s\n' 2000 'Iniciando tarea bloqueante' 'Tarea bloqueante completada' ;;
	asyncio_non_blocking) printf '%s\n' 2000 'Iniciando tarea no bloqueante' 'Tarea no bloqueante completada' ;;
	asyncio_errors) printf '%s\n' 1000 'Excepción capturada: ¡Ocurrió un error!' ;;
	asyncio_queue) printf '%s\n' 10000 'rules: queue_rules' ;;
	asyncio_lock) printf '%s\n' 4000 'rules: lock_rules' ;;
	asyncio_semaphore) printf '%s\n' 4000 'rules: semaphore_rules' ;;
	asyncio_event) printf '%s\n' 2000 'rules: event_rules' ;;
	asyncio_wait_for) printf '%s\n' 3000 'La tarea excedió el límite de tiempo y fue cancelada' ;;
	*) return 1 ;;
	esac
}

# What is in the files that it leaves, in the order of their names.
expected_files() {
	case $1 in
	asyncio_with_file) printf '%s\n' 'output.txt: ¡Hola, asyncio!' ;;
	asyncio_files) printf '%s\n' 'file1.txt: Contenido del archivo 1' 'file2.txt: Contenido del archivo 2' \
		'file3.txt: Contenido del archivo 3' ;;
	esac
}

written_files() {
	local file
	for file in *; do
		[ ! -f "$file" ] || printf '%s: %s\n' "$file" "$(<"$file")"
	done
}

# What holds of the program's lines on standard input, however many workers there are: each of the two goes on in its
# own order; what is got was put before, and that comes after what the producer has said before; the end is the end.
queue_rules() {
	awk '
	/^Productor añadió: item_/ { sub(/.*_/, ""); wrong = wrong || $0 != put + 0; put++; next }
	/^Consumidor procesó: item_/ { sub(/.*_/, ""); wrong = wrong || $0 != got + 0 || put < got; got++; next }
	/^El consumidor ha terminado de trabajar$/ { ended++; wrong = wrong || put != 5 || got != 5; next }
	{ wrong = 1 }
	END { exit wrong || ended != 1 }'
}

# What holds of the program's lines on standard input, however many workers there are and however slow they are: each of
# the four gets in once and out once, and none before he has got in; two get in before anybody is out.
semaphore_rules() {
	awk '
	/^Trabajador [ABCD] ha obtenido acceso\.$/ { wrong = wrong || $2 in got; got[$2]; n++; next }
	/^Trabajador [ABCD] ha liberado acceso\.$/ { wrong = wrong || !($2 in got) || n < 2; delete got[$2]; out++; next }
	{ wrong = 1 }
	END { exit wrong || n != 4 || out != 4 }'
}

# Each of the two tries, has it and leaves, in this order; that one has left is said after the other may have got it.
lock_rules() {
	awk '
	/^Trabajador [AB] está intentando adquirir el lock\.\.\.$/ { wrong = wrong || $2 in state; state[$2] = 1; next }
	/^Trabajador [AB] ha adquirido el lock\.$/ { wrong = wrong || state[$2] != 1; state[$2] = 2; next }
	/^Trabajador [AB] ha liberado el lock\.$/ { wrong = wrong || state[$2] != 2; state[$2] = 3; n++; next }
	{ wrong = 1 }
	END { exit wrong || n != 2 }'
}

# Nobody has got it before it was set, and all have waited.
event_rules() {
	awk '
	/^Esperador [AB] está esperando el evento\.\.\.$/ { waits[$2]; next }
	/^Estableciendo el evento\.$/ { set++; next }
	/^Esperador [AB] ha recibido el evento!$/ { wrong = wrong || !set || !($2 in waits); delete waits[$2]; n++; next }
	{ wrong = 1 }
	END { exit wrong || set != 1 || n != 2 }'
}

# All are written before one is read, each once; what is read is what was written, and an empty line.
files_rules() {
	awk '
	/^Escribió en file[123]\.txt$/ { wrong = wrong || $3 in wrote || reads; wrote[$3]; n++; next }
	/^Contenido de file[123]\.txt:$/ {
		wrong = wrong || n != 3 || $3 in read
		read[$3]
		reads++
		number = substr($3, 5, 1)
		getline; wrong = wrong || $0 != "Contenido del archivo " number
		getline; wrong = wrong || ($0 != "" && reads < 3)
		next
	}
	{ wrong = 1 }
	END { exit wrong || n != 3 || reads != 3 }'
}

expectation=$(expected "$(basename "$program")") || {
	echo "FAIL: nobody has said what $program prints"
	exit 1
}
least=${expectation%%$'\n'*}
lines=${expectation#*$'\n'}

program=$(realpath "$program")
scratch=$(mktemp -d "${TMPDIR:-/tmp}/hilo-example.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

start=${EPOCHREALTIME/./}
output=$("$program")
status=$?
took=$(((${EPOCHREALTIME/./} - start) / 1000))

if [ "$status" -eq 0 ] && [ "${lines#rules: }" != "$lines" ]; then
	"${lines#rules: }" <<<"$output" || {
		printf 'FAIL: this order is against the rules:\n%s\n' "$output"
		exit 1
	}
elif [ "$status" -ne 0 ] || [ "$output" != "$lines" ]; then
	echo "FAIL: status $status"
	diff <(echo "$lines") <(echo "$output")
	exit 1
fi
if ! diff <(expected_files "$(basename "$program")") <(written_files); then
	echo "FAIL: other files than expected"
	exit 1
fi
if [ "$took" -lt "$least" ]; then
	echo "FAIL: over after $took ms, less than $least"
	exit 1
fi
echo "PASS: $took ms"
