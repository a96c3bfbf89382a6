"""The figures of Kalinin, Dyck, Jesse, Ziatdinov, Science Advances 7, eabd5084 (2021), from one command."""
