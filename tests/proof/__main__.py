"""Proves the judge: what `make proof` and `make proof-quick` run."""

if __name__ == "__main__":
    # Imported here, as each judge that is forked looks at this file again.
    from tests.proof.proof import main

    main()
