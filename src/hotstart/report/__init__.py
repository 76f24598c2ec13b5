"""One self-contained page from run folders: `page.write_report`."""
