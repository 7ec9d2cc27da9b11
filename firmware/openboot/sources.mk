openboot_PROMPT = plain
