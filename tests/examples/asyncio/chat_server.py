import asyncio

clients = set()

async def handle_client(reader, writer):
    addr = writer.get_extra_info('peername')
    print(f"Nueva conexión: {addr}")
    clients.add(writer)
    try:
        while True:
            data = await reader.readline()
            if not data:
                break
            message = data.decode()
            print(f"Recibido de {addr}: {message.strip()}")
            for client in clients:
                if client != writer:
                    client.write(data)
                    await client.drain()
    except asyncio.IncompleteReadError:
        pass
    finally:
        print(f"Conexión cerrada: {addr}")
        clients.remove(writer)
        writer.close()
        await writer.wait_closed()

async def main():
    server = await asyncio.start_server(handle_client, '127.0.0.1', 8888)
    addr = server.sockets[0].getsockname()
    print(f"Servidor corriendo en {addr}")

    async with server:
        await server.serve_forever()

if __name__ == "__main__":
    asyncio.run(main())
