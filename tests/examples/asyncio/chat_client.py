import asyncio

async def tcp_echo_client():
    reader, writer = await asyncio.open_connection('127.0.0.1', 8888)
    print("Conectado al servidor. Ingresa mensajes:")

    async def listen():
        while True:
            data = await reader.readline()
            if not data:
                break
            print(f"Recibido: {data.decode().strip()}")

    asyncio.create_task(listen())

    while True:
        message = await asyncio.get_event_loop().run_in_executor(None, input)
        writer.write(f"{message}\n".encode())
        await writer.drain()

    writer.close()
    await writer.wait_closed()

if __name__ == "__main__":
    asyncio.run(tcp_echo_client())
