from attnfuse.own import WriteYourOwn, course_version, switched_off  # noqa: F401
