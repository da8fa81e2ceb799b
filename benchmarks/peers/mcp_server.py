"""MCP's streamable HTTP: a tool that reports its progress once for each token."""

from mcp.server.mcpserver import Context, MCPServer

from benchmarks.work import TEXT, serve, tokens

server = MCPServer("bench")


@server.tool()
async def run(prompt: str, ctx: Context) -> str:  # type: ignore[type-arg]
    """Report each token."""
    async for number in tokens(prompt):
        await ctx.report_progress(number, message=TEXT)
    return "done"


if __name__ == "__main__":
    serve(server.streamable_http_app(stateless_http=True))
