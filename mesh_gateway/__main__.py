"""`python -m mesh_gateway`: the same as the command `mesh-gateway`."""

from mesh_gateway.cli import main

if __name__ == "__main__":
    main("mesh-gateway")
